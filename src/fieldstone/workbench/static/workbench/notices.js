/* Notices at the foot of the page: what went wrong or was saved, said in one line, in nobody's way.
   The text is whatever a block or a server said, so it is only ever set as text. */
(function () {
    'use strict';

    const MOST = 4;
    const shown = new Map(); // text -> {element, count, counter}
    let shelf = null;

    function getShelf() {
        if (!shelf) {
            shelf = document.createElement('div');
            shelf.className = 'site-notices';
            // Present before its first notice, so that screen readers announce that one too.
            shelf.setAttribute('role', 'log');
            shelf.setAttribute('aria-label', 'Notices');
            document.body.append(shelf);
        }
        return shelf;
    }

    function dismiss(text) {
        const entry = shown.get(text);
        if (entry) {
            entry.element.remove();
            shown.delete(text);
        }
    }

    /** Show a notice; the same one again is counted, not repeated. Gives a function that takes it away. */
    function notice(title, detail) {
        const text = title + '\n' + (detail || '');
        if (!document.body) {
            document.addEventListener('DOMContentLoaded', () => notice(title, detail), { once: true });
            return () => dismiss(text);
        }
        const known = shown.get(text);
        if (known) {
            known.count += 1;
            known.counter.textContent = '× ' + known.count;
            return () => dismiss(text);
        }
        const element = document.createElement('div');
        element.className = 'site-notice';

        const words = document.createElement('p');
        const strong = document.createElement('strong');
        strong.textContent = title;
        words.append(strong);
        if (detail) {
            const span = document.createElement('span');
            span.className = 'site-notice-detail';
            span.textContent = detail;
            words.append(' ', span);
        }
        const counter = document.createElement('span');
        counter.className = 'site-notice-count';
        words.append(' ', counter);

        const button = document.createElement('button');
        button.type = 'button';
        button.className = 'site-notice-close';
        button.setAttribute('aria-label', 'Dismiss');
        button.textContent = '×';
        button.addEventListener('click', () => dismiss(text));

        element.append(words, button);
        if (shown.size >= MOST) {
            dismiss(shown.keys().next().value);
        }
        shown.set(text, { element, counter, count: 1 });
        getShelf().append(element);
        return () => dismiss(text);
    }

    /** The card that stands in a block's place; the same markup as the template error_card.html. */
    function errorCard(title, summary, detail, usageKey) {
        const card = document.createElement('div');
        card.className = 'block-error';
        card.setAttribute('role', 'alert');
        const add = function (parent, tag, className, text) {
            const child = document.createElement(tag);
            if (className) {
                child.className = className;
            }
            child.textContent = text;
            parent.append(child);
            return child;
        };
        add(card, 'p', 'block-error-title', title);
        add(card, 'p', 'block-error-summary', summary);
        if (detail) {
            const details = add(card, 'details', 'block-error-detail', '');
            add(details, 'summary', '', 'Details');
            add(details, 'pre', '', detail);
        }
        if (usageKey) {
            add(card, 'p', 'block-error-key', usageKey);
        }
        return card;
    }

    window.addEventListener('error', function (event) {
        // The browser's own word for "laid out again in the next frame": nothing is broken.
        if (/^ResizeObserver loop/.test(event.message || '')) {
            return;
        }
        if (event.target instanceof HTMLScriptElement) {
            notice('A script could not be loaded:', event.target.src);
        } else if (event.message) {
            const file = (event.filename || '').split(/[?#]/)[0].split('/').pop();
            const place = file ? ' (' + file + (event.lineno ? ', line ' + event.lineno : '') + ')' : '';
            notice('A script on this page failed:', event.message + place);
        }
    }, true); // capture: the error of a <script> that did not load does not bubble

    window.addEventListener('unhandledrejection', function (event) {
        const reason = event.reason;
        if (!(reason instanceof Error) || reason.name === 'AbortError') {
            return;
        }
        notice('A script on this page failed:', String(reason));
    });

    document.addEventListener('DOMContentLoaded', getShelf);

    window.Fieldstone = Object.assign(window.Fieldstone || {}, { notice, errorCard });
})();
