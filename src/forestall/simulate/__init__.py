"""A made-up company on a virtual clock: test bench, demo and load generator in one."""
