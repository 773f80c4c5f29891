"""Which initialisations let signals and gradients through a deep network, and does it matter?"""
