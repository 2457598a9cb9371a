"""What goes to people: the texts, and the ways they are delivered."""
