"""What one process of a run tells: its tests, its projects, and what their models came to."""

from __future__ import annotations

from pytest_distill.plugin.session import DistillSession
from pytest_distill.report.share import Share


def share_of(session: DistillSession) -> Share:
    """Return what this process adds to the ledger beside the reports of its tests."""
    _add_late_doubts(session)
    shown, projects = session.places.shown, session.projects
    configs = {**session.configs, **{path: p.config for path, p in projects.items()}}
    skipped, remarks = session.collected.skipped_files(session.configs)
    for item, state in session.tests:
        state.gate_test |= session.is_gate_test(item)  # a marker may come while it runs
    gate_tests = (item.nodeid for item in session.collected.items if session.is_gate_test(item))
    share = Share(
        gate_tests=list(dict.fromkeys(gate_tests)),
        runs=[s.run for _, s in session.tests if s.has_something and s.run.attempts],
        late=session.turns.late,
        skipped_files=skipped,
        remarks=[*remarks, *session.collected.ignored_files()],
        required={
            shown(path): list(config.all_required_gates)
            for path, config in sorted(configs.items())
            if config is not None
        },
        unreadable=[shown(path) for path, config in sorted(configs.items()) if config is None],
    )
    if projects:
        from pytest_distill.plugin.summary import add_project

        for path, project in projects.items():
            add_project(share, project, shown(path))
    return share


def _add_late_doubts(session: DistillSession) -> None:
    """Let every verdict on an eval tell what came out about its teacher, however late."""
    if not session.projects:
        return
    from pytest_distill.gates.doubts import late_doubts
    from pytest_distill.report.verdicts import with_doubt

    doubts = {
        (session.places.shown(path), eval): note
        for path, project in session.projects.items()
        for eval, note in late_doubts(project.all_models).items()
    }
    for attempt in (attempt for _, state in session.tests for attempt in state.run.attempts):
        for place, row in enumerate(attempt.gates):
            doubt = doubts.get((str(row.config), str(row.eval)))
            if doubt is not None:
                attempt.gates[place] = with_doubt(row, doubt)
