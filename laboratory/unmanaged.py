"""Removal and release with real parts."""
