"""The laboratory: real Debian machines as overlay clones in network namespaces of their own."""
