"""One module per vendor of this category; the registry reads `PROVIDER` from each."""
