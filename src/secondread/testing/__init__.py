"""What the tests of an extension need: phantoms, and what every network, task and importer promises.

    from secondread.testing.networks import NetworkContract

    class TestMine(NetworkContract):
        names = ("my-network",)

`pytest --pyargs secondread.testing` runs the same tests over everything that installed extensions bring.
"""
