"""The guard around a provider's calls: where they may go, how long they take, what their failures mean."""
