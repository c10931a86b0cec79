"""How test programs in Python tell what passed: the lines of GoogleTest, which scripts/test counts."""
import time
import traceback
import unittest


def _tell(tests, bad):
    print(f"[  PASSED  ] {max(0, tests - bad)} tests.")
    if bad:
        print(f"[  FAILED  ] {bad} tests, listed above")
    return 1 if bad else 0


def run_functions(scope, wanted=()):
    """Runs the test_ functions of a module, given by its globals(), or the wanted ones; the exit status."""
    tests = [(name, test) for name, test in scope.items()
             if name.startswith("test_") and (not wanted or name in wanted)]
    failed = 0
    for name, test in tests:
        started = time.monotonic()
        try:
            test()
            print(f"[       OK ] {name} ({time.monotonic() - started:.1f} s)", flush=True)
        except Exception:  # every failure is reported, whatever it is, and the others still run
            failed += 1
            print(f"[  FAILED  ] {name}\n{traceback.format_exc()}", flush=True)
    return _tell(len(tests), failed)


def run_cases(module, names=()):
    """Runs the unittest cases of a module, or the named ones; the exit status."""
    loader = unittest.TestLoader()
    suite = loader.loadTestsFromNames(names, module) if names else loader.loadTestsFromModule(module)
    result = unittest.TextTestRunner(verbosity=2).run(suite)
    bad = {getattr(test, "test_case", test).id() for test, _ in result.failures + result.errors}  # not subtests
    _tell(result.testsRun, len(bad))
    return 0 if result.wasSuccessful() else 1
