"""The gateways that run side by side."""

from bench.contenders import litellm, portkey, rolter, smg, tensorzero

PEERS = [rolter.CONTENDER, smg.CONTENDER, tensorzero.CONTENDER, portkey.CONTENDER, litellm.CONTENDER]
