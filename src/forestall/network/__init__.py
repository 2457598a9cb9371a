"""Enforcement points: where a machine is taken off the network and let back.

The same shape at each: `look` gathers what the point itself says, the sight that comes back decides (pure: plans or
refusals), `send` applies a plan and reads the point back. A plan can be shown before anything is sent.
"""
