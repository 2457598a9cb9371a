"""PostgreSQL remembers; the only SQL of the project."""
