"""Enforcement points: where a machine is taken off the network and let back."""
