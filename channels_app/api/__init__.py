"""The customer API of channels: messages, files, contacts, conversations, templates, accounts."""
