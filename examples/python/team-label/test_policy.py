import unittest

from policy import patch


class Policy(unittest.TestCase):
    def test_patch(self):
        owned = {"metadata": {"labels": {"team": "red"}}}
        add = {"op": "add", "path": "/metadata/labels/team", "value": "red"}
        rows = [
            (None, None, []),
            (None, {"metadata": {}}, []),
            ({"a": "b"}, {"metadata": {"labels": {"x": "y"}}}, []),
            ({"team": "red"}, owned, []),
            (None, owned, [{"op": "add", "path": "/metadata/labels", "value": {"team": "red"}}]),
            ({"a": "b"}, owned, [add]),
            ({"team": "blue"}, owned, [add]),
        ]
        for labels, namespace, want in rows:
            with self.subTest(labels=labels, namespace=namespace):
                self.assertEqual(patch(labels, namespace), want)


if __name__ == "__main__":
    unittest.main()
