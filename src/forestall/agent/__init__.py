"""What runs alone on a client machine: inventory, orders, installs; carries nothing of the server."""
