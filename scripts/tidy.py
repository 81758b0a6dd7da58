# SPDX-License-Identifier: MIT
"""What clang-tidy finds in a tree.  A file that was once found clean is looked at again when it can have changed:
itself, what it includes, the compiler's arguments, the rules or clang-tidy.  The tree's .cache keeps this in mind.
"""
import concurrent.futures
import hashlib
import json
import os
import shlex
import subprocess

import source_rules

# Options of the compiler that have an argument, and would have it write a file.
WRITES = ('-o', '-MF', '-MQ')


def compiled(root, build):
    """The entries of the compile database for each file of this tree: only what was compiled can be checked."""
    with open(os.path.join(root, build, 'compile_commands.json'), encoding='utf-8') as database:
        entries = json.load(database)
    found = {}
    for entry in entries:
        found.setdefault(os.path.realpath(os.path.join(entry['directory'], entry['file'])), []).append(entry)
    files = [f for f in source_rules.files(root) if f.endswith('.c')]
    return {f: found[path] for f in files if (path := os.path.realpath(os.path.join(root, f))) in found}


def preprocessed(entry):
    """All that the compiler reads, comments included: clang-tidy heeds some."""
    words = shlex.split(entry['command'])
    kept = [word for before, word in zip(['', *words], words)
            if before not in WRITES and word not in (*WRITES, '-MD', '-c')]
    return subprocess.run([*kept, '-E', '-CC'], cwd=entry['directory'], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False).stdout


def rules(root):
    version = subprocess.run(['clang-tidy', '--version'], capture_output=True, check=True).stdout
    configs = [os.path.join(path, '.clang-tidy') for path in (root, os.path.join(root, 'tests', 'unit'))]
    return version + b''.join(source_rules.read('', path).encode() for path in configs if os.path.exists(path))


# Its analyzer, which walks all paths of a function, takes twenty times what all else takes.
QUICK = ['--checks=-clang-analyzer-*']


def look(root, build, file, options):
    """What clang-tidy says of one file, line by line; nothing if it is clean."""
    # An argument for gcc that clang 14 refuses is taken back.
    done = subprocess.run(['clang-tidy', '--quiet', '--warnings-as-errors=*', '-p', build, *options,
                           '--extra-arg=-ftrivial-auto-var-init=uninitialized', file], cwd=root, text=True, errors='replace',
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False)
    return done.stdout.splitlines() or ['clang-tidy failed'] if done.returncode else []


def recall(memory):
    try:
        with open(memory, encoding='ascii') as file:
            return set(file.read().split())
    except OSError:
        return set()


def remember(memory, keys):
    os.makedirs(os.path.dirname(memory), exist_ok=True)
    with open(f'{memory}.{os.getpid()}', 'w', encoding='ascii') as file:
        file.writelines(f'{key}\n' for key in sorted(keys))
    os.replace(file.name, memory)


def findings(root, build, every, analyze):
    """Of all files that can have changed since they were clean, or of EVERY one; with the analyzer or without."""
    try:
        files = compiled(root, build)
    except OSError as err:
        return [f'{err.filename}: {err.strerror}; build first']
    except ValueError as err:
        return [f'{build}/compile_commands.json: {err}; build anew']
    if not files:
        return ['nothing in the compile database belongs to this tree']
    memory = os.path.join(root, '.cache', 'lint', 'analyzed' if analyze else 'clean')
    known = set() if every else recall(memory)
    basis = rules(root)

    def judge(file):
        parts = [part for entry in files[file] for part in (entry['command'].encode(), preprocessed(entry))]
        key = hashlib.sha256(b'\0'.join([basis, *parts])).hexdigest()
        return key, [] if key in known else look(root, build, file, [] if analyze else QUICK)

    with concurrent.futures.ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        judged = list(pool.map(judge, files))
    remember(memory, {key for key, found in judged if not found})
    return [line for _, found in judged for line in found]
