# SPDX-License-Identifier: MIT
"""The rules on sources that no tool knows: include order, calls, sizes, licences.

Each rule takes the root of a tree and returns its findings, a line each.
"""
import ast
import glob
import os
import re

DIRS = ('include', 'guest', 'vmm', 'tests', 'fuzz', 'bench', 'lab', 'scripts', 'completion', 'examples', '.ci')
MAX_FILE = 600
MAX_FUNCTION = 80

# A module may include itself and what stands left of it.
ORDER = ('pvh', 'util', 'filter', 'image', 'initramfs', 'mem', 'loop', 'state', 'kvm', 'bus', 'boot', 'virtio', 'host', 'dev', 'config',
         'confine', 'vm', 'api', 'main')
# Pure functions on guest RAM: of the bus, only the address map.
BOOT_MAY = ('pvh/', 'util/', 'image/', 'mem/', 'bus/platform.h', 'boot/')
# In dev/, but no device: it lists them, and none of them sees it.
DEV_LIST = 'table'
# Runs at the build: the one program beside the VMM that wants the numbers of KVM's requests.
FILTERS = 'vmm/filter/generate.c'
# No module: constants that all may use.
EVERYWHERE = ('exit_codes.h',)


def files(root):
    """Paths of all source files, relative to root."""
    found = []
    for top in DIRS:
        for path, dirs, names in os.walk(os.path.join(root, top)):
            dirs[:] = sorted(d for d in dirs if d not in ('__pycache__', 'corpus'))
            found += [os.path.relpath(os.path.join(path, n), root) for n in sorted(names)]
    return [f for f in found if is_source(root, f)]


def read(root, path):
    with open(os.path.join(root, path), encoding='utf-8', errors='replace') as file:
        return file.read()


def interpreter(root, path):
    """What follows #! in the first line, or ''."""
    with open(os.path.join(root, path), 'rb') as file:
        first = file.readline(100)
    return first[2:].decode(errors='replace').strip() if first.startswith(b'#!') else ''


def is_python(root, path):
    return path.endswith('.py') or 'python' in interpreter(root, path)


def is_shell(root, path):
    return path.endswith(('.sh', '.bash')) or interpreter(root, path).endswith('sh')


def is_source(root, path):
    return (path.endswith(('.c', '.h', '.S', '.py', '.sh', '.bash', '.lds', 'meson.build'))
            or bool(interpreter(root, path)))


def module(path):
    """The module of a file below vmm/, given as it is included: dev/serial.h is of dev."""
    if '/' in path:
        return path.split('/')[0]
    stem = path.rsplit('.', 1)[0]
    if stem == 'main' or re.match(r'cmd(_|$)', stem):
        return 'main'
    return stem.split('_')[0]


def device(path):
    """The device a file of dev/ belongs to."""
    return os.path.basename(path).rsplit('.', 1)[0].split('_')[0]


def refuse_include(path, header):
    """Why a file below vmm/ may not include a header of ours, or None."""
    ours, theirs = module(path), module(header)
    if theirs not in ORDER or ours not in ORDER:
        return 'is of no known module; add it to ORDER'
    if ORDER.index(theirs) > ORDER.index(ours):
        return f'points right: {ours} stands before {theirs}'
    if ours == 'boot' and not header.startswith(BOOT_MAY):
        return 'is not for boot'
    if ours == theirs == 'dev' and device(path) not in (device(header), DEV_LIST):
        return 'is another device'
    return None


def includes(root):
    found = []
    for path in files(root):
        if not path.endswith(('.c', '.h', '.S')):
            continue
        for n, line in enumerate(read(root, path).splitlines(), 1):
            match = re.match(r'\s*#\s*include\s*([<"])([^>"]+)[>"]', line)
            if match:
                why = _why_not(path, match[1] == '"' or match[2].startswith('pvh/'), match[2])
                if why:
                    found.append(f'{path}:{n}: {match[2]} {why}')
    return found


def _why_not(path, is_ours, header):
    if path.startswith('include/pvh/'):
        return None if header == 'stdint.h' or header.startswith('pvh/') else 'is not for include/pvh'
    if path.startswith('guest/'):
        parts = header.split('/')
        host = 'vmm' in parts or (len(parts) > 1 and parts[0] in ORDER[1:])
        return 'is of the host side' if is_ours and host else None
    if not path.startswith('vmm/'):
        return None
    if header == 'linux/kvm.h':
        return None if path.startswith('vmm/kvm/') or path == FILTERS else 'is for vmm/kvm only'
    if not is_ours or header in EVERYWHERE:
        return None
    return refuse_include(path[len('vmm/'):], header)


def _c_functions(text):
    """(first line, number of lines) of each function body: from a { to a } in the first column."""
    start = None
    for n, line in enumerate(text.splitlines(), 1):
        if line.startswith('{'):
            start = n
        elif line.startswith('}') and start:
            yield start, n - start + 1
            start = None


def _python_functions(text):
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield node.lineno, node.end_lineno - node.lineno + 1


# Functions of newer C libraries that make more system calls than a confined thread may have; what is to be used, and where it is.
NOT_CONFINED = {'strerror': ('error_text', 'util/error.h'), 'getrandom': ('random_bytes', 'util/random.h')}


def calls(root):
    found = []
    for path in files(root):
        if not path.startswith('vmm/') or not path.endswith(('.c', '.h')):
            continue
        for n, line in enumerate(read(root, path).splitlines(), 1):
            found += [f'{path}:{n}: {name}() is not for confined threads; {header} has {instead}()'
                      for name, (instead, header) in NOT_CONFINED.items()
                      if path != 'vmm/' + header and re.search(rf'(?<![\w>.]){name}\((?!\d\)|\))', line)]
    return found


def sizes(root):
    found = []
    for path in files(root):
        text = read(root, path)
        n_lines = text.count('\n')
        if n_lines > MAX_FILE:
            found.append(f'{path}: {n_lines} lines, more than {MAX_FILE}')
        functions = []
        if path.endswith('.c'):
            functions = _c_functions(text)
        elif is_python(root, path):
            try:
                functions = list(_python_functions(text))
            except (SyntaxError, ValueError) as err:  # the latter: a NUL
                found.append(f'{path}:{getattr(err, "lineno", None) or 1}: is not Python: {getattr(err, "msg", err)}')
        found += [f'{path}:{line}: function of {n} lines, more than {MAX_FUNCTION}'
                  for line, n in functions if n > MAX_FUNCTION]
    return found


def licences(root):
    found = []
    for path in files(root):
        guest_side = path.startswith(('guest/', 'include/pvh/')) and not path.endswith('meson.build')
        wanted = ['GPL-2.0 OR MIT'] if guest_side else ['MIT', 'GPL-2.0 OR MIT']
        head = '\n'.join(read(root, path).splitlines()[:3])
        match = re.search(r'SPDX-License-Identifier: (.*?) *(\*/)?$', head, re.M)
        if not match or match[1] not in wanted:
            found.append(f'{path}: its first three lines lack "SPDX-License-Identifier: {wanted[0]}"')
    return found


def documents(root):
    """What a document says of the sources is there: functions, files, other documents."""
    text = ''.join(read(root, path) for path in files(root))
    found = []
    others = [path for pattern in ('docs/*.md', 'examples/*/*.md') for path in glob.glob(pattern, root_dir=root)]
    for path in ['README.md', 'CONTRIBUTING.md', *sorted(others)]:
        where = os.path.join(root, os.path.dirname(path))
        if not os.path.exists(os.path.join(root, path)):
            continue
        for n, line in enumerate(read(root, path).splitlines(), 1):
            gone = [f'no function {name}()' for name in re.findall(r'`([a-z]\w*)\(\)`', line)
                    if not re.search(rf'\b{name}\b', text)]
            gone += [f'no file {name}' for name in re.findall(r'`((?:vmm|guest|include/pvh)/[a-z_/.]+\.[chS])`', line)
                     if not os.path.exists(os.path.join(root, name))]
            gone += [f'no file {name}' for name in re.findall(r'\]\(([^)#:]+)(?:#[^)]*)?\)', line)
                     if not os.path.exists(os.path.join(where, name))]
            found += [f'{path}:{n}: there is {what}' for what in gone]
    return found
