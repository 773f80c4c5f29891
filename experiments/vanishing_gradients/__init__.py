"""Do gradients vanish with depth as mean-field theory says?"""
