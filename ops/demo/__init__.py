"""The demo: all roles on one machine, from an empty folder to lists that change with every click."""
