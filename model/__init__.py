"""Histories in, ranked items out. Torch and numpy; no topics, no Faust, no metrics."""
