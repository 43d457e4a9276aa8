"""bt_api_base: the async-first base package of the bt_api ecosystem."""
