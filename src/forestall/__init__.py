"""Forestall drives every patch to every machine of a company before the exploit arrives."""
