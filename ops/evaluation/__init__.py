"""Offline tables: models by name, protocols, runs that can be resumed, what is printed."""
