"""settings.cfg of the shipped P-CSCF configurations."""


def change(path, values, defines):
    """Does to the file what an operator does: these addresses instead of the examples, these features switched on."""
    text = path.read_text(encoding="utf-8")
    for name in defines:
        if f"##!define {name}\n" not in text:
            raise ValueError(f"{path}: no {name} to switch on")
        text = text.replace(f"##!define {name}\n", f"#!define {name}\n")
    lines = text.splitlines()
    for name, value in values.items():
        at = next(index for index, line in enumerate(lines) if line.startswith(f'#!substdef "!{name}!'))
        lines[at] = f'#!substdef "!{name}!{value}!g"'
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
