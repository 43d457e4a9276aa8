"""The tests of bt_api_base, a package so that they can share helpers such as `tests.corpora`."""
