/* The runtime of XBlock's client side, version 1: it starts the blocks of the page, children before
   parents, and gives each the object that XBlock's documentation calls `runtime`. */
(function () {
    'use strict';

    const started = new WeakMap(); // wrapper element -> the block's object
    const listeners = new Map(); // event name -> callbacks, for notify and listenTo

    /** A DOM element out of what blocks pass: an element, jQuery, or either from inside the block. */
    function wrapperOf(element) {
        const node = element && element.jquery ? element[0] : element;
        const wrapper = node && node.closest ? node.closest('.xblock') : null;
        if (!wrapper) {
            throw new Error('This element is not part of an XBlock');
        }
        return wrapper;
    }

    /** The blocks right below an element, with anything but another block between. */
    function nestedIn(element) {
        return Array.from(element.querySelectorAll('.xblock')).filter(function (inner) {
            const outer = inner.parentElement.closest('.xblock');
            return outer === element || outer === null || !element.contains(outer);
        });
    }

    function queryText(query) {
        if (!query) {
            return '';
        }
        const text = typeof query === 'string' ? query.replace(/^\?/, '') : new URLSearchParams(query).toString();
        return text && '?' + text;
    }

    class RuntimeV1 {
        handlerUrl(element, handlerName, suffix, query) {
            const wrapper = wrapperOf(element).closest('[data-handler-url]');
            if (!wrapper) {
                throw new Error('This block has no handlers');
            }
            // The suffix is one segment, as in Open edX: the server sees it whole, slashes and all.
            return wrapper.dataset.handlerUrl + handlerName
                + (suffix ? '/' + encodeURIComponent(suffix) : '')
                + queryText(query);
        }

        children(element) {
            return nestedIn(wrapperOf(element)).map((child) => started.get(child)).filter(Boolean);
        }

        childMap(element, name) {
            return this.children(element).find((child) => child.name === name);
        }

        /** Blocks tell of 'save', 'error' and the like; only an error concerns whoever looks on. */
        notify(name, data) {
            for (const callback of listeners.get(name) || []) {
                callback(data);
            }
            if (name === 'error' && data) {
                window.Fieldstone.notice(data.title || 'A block reports an error:', data.message || data.msg);
            }
        }

        listenTo(name, callback) {
            listeners.set(name, [...(listeners.get(name) || []), callback]);
        }
    }

    const runtime = new RuntimeV1();

    function argumentsOf(element) {
        const script = Array.from(element.children)
            .find((child) => child.matches('script.xblock_json_init_args'));
        return script ? [JSON.parse(script.textContent)] : [];
    }

    function construct(element) {
        const name = element.dataset.init;
        if (!name) {
            return {};
        }
        const init = window[name];
        if (typeof init !== 'function') {
            throw new Error('No script on this page defines ' + name);
        }
        const args = [runtime, element, ...argumentsOf(element)];
        // An arrow function or a method cannot be called with `new`; it is a good init all the same.
        const block = init.prototype ? new init(...args) : init(...args);
        return block instanceof Object ? block : {};
    }

    function showFailure(element, error) {
        console.error(error);
        const type = element.dataset.blockType || 'block';
        element.replaceChildren(window.Fieldstone.errorCard(
            'This block could not start',
            'The browser script of the ' + type + ' block failed; the rest of the page works.',
            (error && error.stack) || String(error),
            element.dataset.usageId,
        ));
    }

    function initializeBlock(target) {
        const element = target && target.jquery ? target[0] : target;
        if (started.has(element)) {
            return started.get(element);
        }
        initializeBlocks(element);
        let block;
        try {
            block = construct(element);
        } catch (error) {
            showFailure(element, error);
            block = {};
        }
        // A frozen or otherwise odd object is the block's own affair; it still counts as a child.
        try {
            Object.assign(block, {
                runtime, element, name: element.dataset.name, type: element.dataset.blockType,
            });
        } catch (error) {
            console.error(error);
        }
        started.set(element, block);
        element.classList.add('xblock-initialized');
        window.jQuery(element).trigger('xblock-initialized');
        return block;
    }

    /** Start every block below an element (its own block not included). */
    function initializeBlocks(target) {
        const element = target && target.jquery ? target[0] : target;
        return nestedIn(element).map(initializeBlock);
    }

    window.XBlock = {
        Runtime: { v1: RuntimeV1 },
        initializeBlock,
        initializeBlocks,
        initializeXBlocks: initializeBlocks,
        initializeAside: initializeBlock,
        initializeXBlockAsides: () => [],
    };

    document.addEventListener('DOMContentLoaded', () => initializeBlocks(document.body));
})();
