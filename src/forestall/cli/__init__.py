"""The commands people type: thin, they call the layers below and print."""
