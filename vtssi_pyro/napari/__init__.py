"""A plugin of napari: results as layers, first tracks, training, tracking, and corrections by hand.

napari finds it by the entry point ``napari.manifest``; nothing else imports this package. Only ``widget`` needs Qt.
"""
