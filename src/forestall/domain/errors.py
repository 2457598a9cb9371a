"""The exceptions of Forestall: one small tree.

ForestallError
├── InputError       what a person or a file gave us cannot be used (the message says where and what to do)
├── FeedError        a source could not be fetched or read; the last good copy stays in force
├── StoreError       the database refused, is missing, or is not ours
├── ProtocolError    the other side of the agent protocol said something we do not accept
├── SignerError      the signer does not run, does not answer, or refuses
└── AgentError       the agent cannot do on this machine what was asked

Expected outcomes (unknown versions, refused removals, held intents) are values, not exceptions.
"""


class ForestallError(Exception):
    """A failure whose message is fit for a person: what, where, why, what to do next."""


class InputError(ForestallError):
    """A file, an argument or a configuration that cannot be used."""


class FeedError(ForestallError):
    """A source that could not be fetched or read."""


class StoreError(ForestallError):
    """The database refused, is missing, or is not ours."""


class ProtocolError(ForestallError):
    """The other side of the agent protocol said something that is not accepted."""


class SignerError(ForestallError):
    """The signer does not run, does not answer, or refuses."""


class AgentError(ForestallError):
    """The agent cannot do on this machine what was asked."""
