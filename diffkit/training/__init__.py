"""Supervised loops, reinforcement-learning agents, the equilibrium-net trainer."""
