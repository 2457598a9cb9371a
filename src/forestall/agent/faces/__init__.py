"""How the question looks in a person's session: a notification, a page, a terminal. They draw and decide nothing."""
