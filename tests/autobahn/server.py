"""The Autobahn test suite's fuzzing server, for a runner that ends it by closing its standard input.

    python2.7 server.py SPECIFICATION LISTENER

SPECIFICATION is JSON, as for ``wstest --mode fuzzingserver``. That differs from this script in two ways: it listens on
every interface, and on a port that has to be known to be free. LISTENER is the file descriptor of a listening socket
that does not block. Python 2.7 runs this file, so there are no annotations in it.
"""

import json
import socket
import sys

from autobahntestsuite.fuzzing import FuzzingServerFactory  # before the reactor, which it chooses
from twisted.internet import reactor
from twisted.internet.protocol import Protocol
from twisted.internet.stdio import StandardIO

factory = FuzzingServerFactory(json.loads(sys.argv[1]))
reactor.adoptStreamPort(int(sys.argv[2]), socket.AF_INET, factory)
runner = Protocol()
runner.connectionLost = lambda _reason: reactor.stop()
StandardIO(runner)
reactor.run()
