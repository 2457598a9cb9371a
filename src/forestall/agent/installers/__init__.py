"""How updates get installed here, one file a package tool."""
