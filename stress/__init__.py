"""Puts a node under load and hostile clients, and checks from what all of them wrote down that it kept its promises."""
