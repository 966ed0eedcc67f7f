"""Every measured number of a bundle: the evidence file, its page and plots, localisation, the card, a site's own fit.

Names are imported from their modules, so that whoever wants one of them does not load them all.
"""
