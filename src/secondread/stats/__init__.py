"""The statistics of a yes/no reading, with numpy and scipy alone; a number has one home here and is called from there.

Names are imported from their modules: metrics, bootstrap, proportions, delong, calibration, thresholds and the like.
"""
