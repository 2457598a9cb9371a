"""What is installed here, one file a package database."""
