// The small things that pages are made of: buttons, fields, menus, dialogs, and what is shown where
// there is nothing to show.

import type { ComponentChildren } from "preact";
import { useEffect, useId, useRef, useState } from "preact/hooks";

interface ButtonProps {
  children: ComponentChildren;
  onClick(event: MouseEvent): void;
  /** What the button does, where its content is only a sign. */
  label?: string;
  pressed?: boolean;
  disabled?: boolean;
  kind?: "plain" | "primary" | "danger" | "icon";
}

export function Button({ children, onClick, label, pressed, disabled, kind = "plain" }: ButtonProps) {
  return (
    <button
      type="button"
      class={`button ${kind}`}
      aria-label={label}
      title={label}
      aria-pressed={pressed}
      disabled={disabled}
      onClick={onClick}
    >
      {children}
    </button>
  );
}

interface SelectProps<T extends string> {
  label: string;
  value: T;
  /** Pairs of value and text. */
  options: readonly (readonly [T, string])[];
  onChange(value: T): void;
}

export function Select<T extends string>({ label, value, options, onChange }: SelectProps<T>) {
  return (
    <label class="control">
      <span>{label}</span>
      <select value={value} onChange={(event) => onChange(event.currentTarget.value as T)}>
        {options.map(([each, text]) => (
          <option key={each} value={each}>
            {text}
          </option>
        ))}
      </select>
    </label>
  );
}

interface CheckProps {
  label: string;
  checked: boolean;
  onChange(checked: boolean): void;
}

export function Check({ label, checked, onChange }: CheckProps) {
  return (
    <label class="control check">
      <input
        type="checkbox"
        checked={checked}
        onChange={(event) => onChange(event.currentTarget.checked)}
      />
      <span>{label}</span>
    </label>
  );
}

interface FieldProps {
  label: string;
  value: string;
  onChange(value: string): void;
  placeholder?: string;
  /** What is wrong with the value. */
  error?: string | undefined;
  /** Names to choose from; others can be typed as well. */
  suggestions?: readonly string[];
  /** Say what was typed only when it is finished: by Enter, or by leaving the field. */
  late?: boolean;
  id?: string;
}

/** A line of text. While it has the focus, what is typed wins over what is given. */
export function Field(props: FieldProps) {
  const { label, value, onChange, placeholder, error, suggestions, late, id } = props;
  const [typed, setTyped] = useState(value);
  const [focused, setFocused] = useState(false);
  const list = useId();
  useEffect(() => {
    if (!focused) setTyped(value);
  }, [value, focused]);
  const take = (text: string, finished: boolean) => {
    setTyped(text);
    if (finished || !late) onChange(text);
  };
  return (
    <label class="control field">
      <span>{label}</span>
      <input
        id={id}
        type="text"
        spellcheck={false}
        autocomplete="off"
        value={typed}
        placeholder={placeholder}
        aria-invalid={error ? "true" : undefined}
        title={error}
        list={suggestions ? list : undefined}
        onFocus={() => setFocused(true)}
        onBlur={() => {
          setFocused(false);
          take(typed, true);
        }}
        onInput={(event) => take(event.currentTarget.value, false)}
        onKeyDown={(event) => {
          if (event.key === "Enter") take(event.currentTarget.value, true);
        }}
      />
      {suggestions && (
        <datalist id={list}>
          {suggestions.map((name) => (
            <option key={name} value={name} />
          ))}
        </datalist>
      )}
    </label>
  );
}

interface MenuProps {
  label: string;
  /** What the panel holds; a function is given what closes it. */
  children: ComponentChildren | ((close: () => void) => ComponentChildren);
  /** What the button shows; the label where there is nothing else. */
  content?: ComponentChildren;
}

/** A button that opens a panel below it. Escape, or a click elsewhere, closes the panel. */
export function Menu({ label, children, content }: MenuProps) {
  const [open, setOpen] = useState(false);
  const root = useRef<HTMLDivElement>(null);
  useEffect(() => {
    if (!open) return;
    const leave = (event: Event) => {
      const escaped = event instanceof KeyboardEvent && event.key === "Escape";
      if (escaped || (event.type === "pointerdown" && !root.current?.contains(event.target as Node))) {
        setOpen(false);
        if (escaped) root.current?.querySelector("button")?.focus();
      }
    };
    addEventListener("pointerdown", leave);
    addEventListener("keydown", leave);
    return () => {
      removeEventListener("pointerdown", leave);
      removeEventListener("keydown", leave);
    };
  }, [open]);
  return (
    <div class="menu" ref={root}>
      <button
        type="button"
        class="button plain"
        aria-expanded={open}
        aria-label={content ? label : undefined}
        onClick={() => setOpen(!open)}
      >
        {content ?? label}
      </button>
      {open && (
        <div class="panel" role="group" aria-label={label}>
          {typeof children === "function" ? children(() => setOpen(false)) : children}
        </div>
      )}
    </div>
  );
}

interface DialogProps {
  title: string;
  children: ComponentChildren;
  onClose(): void;
}

/** A window over the page. Escape closes it, and gives the focus back. */
export function Dialog({ title, children, onClose }: DialogProps) {
  const dialog = useRef<HTMLDialogElement>(null);
  const heading = useId();
  useEffect(() => dialog.current?.showModal(), []);
  return (
    <dialog ref={dialog} aria-labelledby={heading} onClose={onClose}>
      <header>
        <h2 id={heading}>{title}</h2>
        <Button kind="icon" label="Close" onClick={() => dialog.current?.close()}>
          ×
        </Button>
      </header>
      {children}
    </dialog>
  );
}

/** What stands where there is nothing to show: what that means, and what to do next. */
export function Empty({ title, children }: { title: string; children?: ComponentChildren }) {
  return (
    <section class="empty">
      <h2>{title}</h2>
      {children}
    </section>
  );
}

/** Something that went wrong. */
export function Problem({ error }: { error: Error }) {
  return (
    <p class="problem" role="alert">
      {error.message}
    </p>
  );
}
