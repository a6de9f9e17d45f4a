"""The HTTP API: clicks in, lists out of a local view of the topics."""
