"""What the Windows Update Agent means by a number, for people."""

from forestall.agent.debian import printable

_DISP_E_EXCEPTION = 0x80020009
"""The object itself raised it: the number is in the information on the exception."""

_RESULTS = {
    0: "not started",
    1: "in progress",
    2: "succeeded",
    3: "succeeded with errors",
    4: "failed",
    5: "aborted",
}
"""`OperationResultCode`."""
SUCCEEDED = 2
SUCCEEDED_WITH_ERRORS = 3

_MEANINGS = {
    0x80070005: "access was denied: run the agent as SYSTEM or as an administrator",
    0x80070070: "the disk is full: free space on the drive of Windows",
    0x80070422: "the service Windows Update is disabled: set wuauserv to start on demand",
    0x80070643: "the installer of the update failed: see its log below C:\\Windows\\Logs",
    0x80073712: "the component store is damaged: run DISM /Online /Cleanup-Image /RestoreHealth",
    0x8024000B: "it was cancelled",
    0x80240009: "another operation of Windows Update is in progress: it is tried again",
    0x80240016: "another installation is in progress, or a restart is due: it is tried again",
    0x8024001E: "the service Windows Update was stopped meanwhile: it is tried again",
    0x80240022: "none of the updates could be processed",
    0x80240023: "the licence terms were declined",
    0x80240024: "there is no update to process",
    0x8024002E: "the update service of the company may not be passed by: approve the update there",
    0x80240032: "the search was not understood",
    0x80240044: "only an administrator may do this: run the agent as SYSTEM",
    0x8024200B: "the installer of the update failed: see its log below C:\\Windows\\Logs",
    0x8024402C: "the name of the update service cannot be resolved: check its address and the proxy",
    0x80240438: "the update service cannot be reached: check its address and the proxy",
}


def meaning(hresult: int) -> str:
    """Write down an HRESULT; one that is not known here is at least in the form in which it can be looked up."""
    number = hresult & 0xFFFFFFFF
    known = _MEANINGS.get(number)
    return f"0x{number:08X}: {known}" if known else f"0x{number:08X}, which Microsoft's list explains"


def outcome(result: int) -> str:
    """Write down what came of an operation."""
    return _RESULTS.get(result, f"ended as {result}, which nobody knows")


def raised(error: Exception) -> str:
    """Write down what an object raised: HRESULT, text, information on the exception, argument."""
    hresult, information = (*error.args, None, None, None)[0:3:2]
    if not isinstance(hresult, int):
        return f"no number, but {printable(str(error), 200) or 'nothing'}"
    if hresult & 0xFFFFFFFF == _DISP_E_EXCEPTION and isinstance(information, tuple) and len(information) == 6:
        inner = information[5]
        hresult = inner if isinstance(inner, int) and inner else hresult
    return meaning(hresult)
