"""The loops and their wiring: gather and apply; every decision is the domain's."""
