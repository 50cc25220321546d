/* Formulas. Blocks know MathJax 2 (`MathJax.Hub.Queue(['Typeset', MathJax.Hub, element])`); what is
   vendored is MathJax 3. This is the little of the older interface that they use, over the newer one.
   MathJax has two megabytes: it is fetched when there is a formula, and not before. */
(function () {
    'use strict';

    const base = new URL('vendor/mathjax/', document.currentScript.src);
    const FORMULA = /\\\(|\\\[|\\begin\{|\[mathjax/;
    // A problem previews AsciiMath as it is typed, which MathJax 3 reads only with its old parser on
    // the side. Without a preview, the place of it stays empty.
    const EMPTY_PREVIEW = '`{::}`';

    const settings = {
        startup: { typeset: false },
        tex: {
            inlineMath: [['\\(', '\\)'], ['[mathjaxinline]', '[/mathjaxinline]']],
            displayMath: [['\\[', '\\]'], ['[mathjax]', '[/mathjax]']],
        },
        // The menu would fetch more parts, and from elsewhere. Drag and drop draws its own nodes
        // again and again and stumbles over changed ones.
        options: { enableMenu: false, ignoreHtmlClass: 'mathjax_ignore|xblock--drag-and-drop' },
    };

    // --- the older interface ---------------------------------------------------------------------

    // Everything that is queued runs one after the other, as MathJax 2 promises.
    let queue = Promise.resolve();

    /** MathJax 2's callbacks: a function, [function, ...arguments] or ['method', object, ...arguments]. */
    function call(callback) {
        const [first, ...rest] = Array.isArray(callback) ? callback : [callback];
        if (typeof first === 'function') {
            return first(...rest);
        }
        const [object, ...args] = rest;
        return object[first](...args);
    }

    function enqueue(...callbacks) {
        for (const callback of callbacks) {
            queue = queue.then(() => call(callback)).catch((error) => console.error(error));
        }
        return queue;
    }

    function elementsOf(target) {
        if (target === undefined || target === null) {
            return Array.from(document.querySelectorAll('.block-body'));
        }
        return Array.from(Array.isArray(target) || target.jquery ? target : [target])
            .map((one) => (typeof one === 'string' ? document.getElementById(one) : one))
            .filter((one) => one && one.isConnected);
    }

    async function typeset(target, callback) {
        const elements = elementsOf(target);
        for (const element of elements) {
            for (const preview of element.querySelectorAll('.text-input-dynamath .equation')) {
                if (preview.textContent.trim() === EMPTY_PREVIEW) {
                    preview.textContent = '';
                }
            }
        }
        const withFormulas = elements.filter((element) => FORMULA.test(element.textContent));
        if (withFormulas.length) {
            await loaded();
            await window.MathJax.typesetPromise(withFormulas);
        }
        return callback && call(callback);
    }

    /** The formulas in an element, each with the three members of MathJax 2's that blocks use. */
    function getAllJax(target) {
        const [element] = elementsOf(target);
        if (!element || !window.MathJax.startup || !window.MathJax.startup.document) {
            return [];
        }
        return window.MathJax.startup.document.getMathItemsWithin([element]).map(function (item) {
            const { display } = item;
            const jax = {
                originalText: item.math,
                root: { toMathML: () => window.MathJax.tex2mml(jax.originalText, { display }) },
                Text: function (text) {
                    const node = window.MathJax.tex2svg(text, { display });
                    item.typesetRoot.replaceWith(node);
                    item.typesetRoot = node;
                    jax.originalText = item.math = text;
                },
            };
            return jax;
        });
    }

    const Hub = {
        Queue: enqueue,
        Typeset: typeset,
        getAllJax,
        Config: () => undefined,
        Configured: () => undefined,
        Register: { StartupHook: (name, callback) => enqueue(callback) },
        // Whoever waits for the start hears that it is over: what they queue then waits by itself.
        Startup: { signal: { Interest: (callback) => enqueue(() => callback('End')) } },
    };
    const Callback = {
        After: (callback, ...awaited) => Promise.all(awaited).then(() => call(callback)),
        Queue: () => ({ Push: enqueue }),
    };

    // --- the newer one, when it is needed --------------------------------------------------------

    // MathJax 3 puts a new object in place of its settings as it starts, so the older interface is
    // attached to whatever is called MathJax; not enumerable, or it would be taken for a setting.
    let current;
    function attach(value) {
        if (value instanceof Object) {
            Object.defineProperties(value, {
                Hub: { value: Hub, writable: true, configurable: true },
                Callback: { value: Callback, writable: true, configurable: true },
            });
        }
        current = value;
    }
    Object.defineProperty(window, 'MathJax', { configurable: true, get: () => current, set: attach });
    attach(settings);

    let loading = null;
    function loaded() {
        loading = loading || new Promise(function (resolve, reject) {
            const script = document.createElement('script');
            script.src = new URL('tex-svg-full.js', base);
            script.onload = () => window.MathJax.startup.promise.then(resolve, reject);
            script.onerror = () => reject(new Error('MathJax could not be loaded'));
            document.head.append(script);
        });
        return loading;
    }

    // Problems ask for their formulas themselves; other blocks rely on the page. This listener comes
    // before the runtime's, so what a block draws as it starts is looked at by the timer.
    document.addEventListener('DOMContentLoaded', () => setTimeout(() => enqueue(() => typeset())));
    document.addEventListener('fieldstone:saved', () => setTimeout(() => enqueue(() => typeset()), 50));
})();
