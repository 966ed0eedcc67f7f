"""The reference pages that are made of the code when the site is built: nobody copies a name or a sentence by hand."""
