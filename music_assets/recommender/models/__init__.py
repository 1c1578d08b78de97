"""Candidate models behind one interface: settings that `fit` interactions into an `ItemModel`."""
