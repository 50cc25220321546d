/* The runtime of XBlock's client side, version 1: it starts the blocks of the page, children before
   parents and asides after the blocks that they are beside, and gives each the object that XBlock's
   documentation calls `runtime`. */
(function () {
    'use strict';

    const BLOCK = '.xblock';
    const ASIDE = '.xblock_asides-v1';
    const EITHER = BLOCK + ', ' + ASIDE;

    const started = new WeakMap(); // element -> the object of its block or aside
    const kept = new Map(); // block type and name -> the init function, see keepInit
    const listeners = new Map(); // event name -> callbacks, for notify and listenTo

    const plain = (target) => (target && target.jquery ? target[0] : target);

    /** A block's element out of what blocks pass: that one or one inside it, plain or in jQuery. */
    function elementOf(target) {
        const node = plain(target);
        const element = node && node.closest ? node.closest(EITHER) : null;
        if (!element) {
            throw new Error('This element is not part of an XBlock');
        }
        return element;
    }

    /** The blocks or asides right below an element, with anything but another block between. */
    function nestedIn(element, selector) {
        return Array.from(element.querySelectorAll(selector)).filter(function (inner) {
            const outer = inner.parentElement.closest(EITHER);
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

    // --- what a block can ask of its runtime -----------------------------------------------------

    let dismissSaving = () => undefined;

    /** What the editor of a block tells of its work, for whoever sits before it. */
    function tell(name, data) {
        if (name === 'save' && data.state === 'start') {
            dismissSaving = window.Fieldstone.notice(data.message || 'Saving …');
            return;
        }
        if (name === 'error') {
            window.Fieldstone.notice(data.title || 'A block reports an error:', data.message || data.msg);
        } else if (name === 'save' && data.state === 'end') {
            window.Fieldstone.notice('Saved.');
        } else if (name === 'cancel') {
            window.Fieldstone.notice('Cancelled:', 'nothing was saved');
        } else {
            return;
        }
        dismissSaving();
    }

    class RuntimeV1 {
        handlerUrl(target, handlerName, suffix, query, thirdparty) {
            const data = elementOf(target).dataset;
            const prefix = thirdparty ? data.thirdpartyUrl : data.handlerUrl;
            if (prefix === undefined) {
                throw new Error('This block has no handlers' + (thirdparty ? ' for third parties' : ''));
            }
            // The suffix is one segment, as in Open edX: the server sees it whole, slashes and all.
            return prefix + handlerName + (suffix ? '/' + encodeURIComponent(suffix) : '') + queryText(query);
        }

        children(target) {
            return nestedIn(elementOf(target), BLOCK).map((child) => started.get(child)).filter(Boolean);
        }

        childMap(target, name) {
            return this.children(target).find((child) => child.name === name);
        }

        notify(name, data) {
            for (const callback of listeners.get(name) || []) {
                callback(data);
            }
            tell(name, data || {});
        }

        listenTo(name, callback) {
            listeners.set(name, [...(listeners.get(name) || []), callback]);
        }
    }

    const runtimes = { v1: RuntimeV1 };
    const runtime = new RuntimeV1();

    // --- starting a block ------------------------------------------------------------------------

    /** Called right behind the scripts of a block's fragment. Init functions are global names, and two
        packages may take the same one, as both kinds of poll do: whichever script came last would
        start the blocks of both. */
    function keepInit(blockType, name) {
        const key = blockType + ' ' + name;
        if (typeof window[name] === 'function' && !kept.has(key)) {
            kept.set(key, window[name]);
        }
    }

    function initOf(element) {
        const { init: name, blockType, runtimeVersion: version } = element.dataset;
        if (!name) {
            return null;
        }
        if (!runtimes['v' + version]) {
            throw new Error('This page has no runtime of version ' + version);
        }
        const init = kept.get(blockType + ' ' + name) || window[name]; // some are defined late
        if (typeof init !== 'function') {
            throw new Error('No script on this page defines ' + name);
        }
        return init;
    }

    function argumentsOf(element) {
        const script = Array.from(element.children)
            .find((child) => child.matches('script.xblock_json_init_args'));
        return script ? JSON.parse(script.textContent) : {};
    }

    /** The element of the block that an aside is beside, in jQuery as the XBlock SDK gives it. */
    function blockBeside(element) {
        return window.jQuery(element).siblings(BLOCK)
            .filter((_, sibling) => sibling.dataset.usageId === element.dataset.blockId);
    }

    function construct(element) {
        const init = initOf(element);
        if (!init) {
            return {};
        }
        const beside = element.matches(ASIDE) ? [blockBeside(element)] : [];
        const args = [runtime, element, ...beside, argumentsOf(element)];
        // An arrow function or a method cannot be called with `new`; it is a good init all the same.
        const block = init.prototype ? new init(...args) : init(...args);
        return block instanceof Object ? block : {};
    }

    function showFailure(element, error) {
        console.error(error);
        const kind = element.matches(ASIDE) ? 'aside' : 'block';
        element.replaceChildren(window.Fieldstone.errorCard(
            'This ' + kind + ' could not start',
            'The browser script of the ' + (element.dataset.blockType || 'unknown') + ' ' + kind
                + ' failed; the rest of the page works.',
            (error && error.stack) || String(error),
            element.dataset.usageId,
        ));
    }

    /** Start one block or aside, and before it all that is inside. */
    function initializeBlock(target) {
        const element = plain(target);
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

    const initializeXBlocks = (target) => nestedIn(plain(target), BLOCK).map(initializeBlock);
    const initializeAsides = (target) => nestedIn(plain(target), ASIDE).map(initializeBlock);

    /** Start every block and aside below an element (its own block not included). */
    function initializeBlocks(target) {
        return [...initializeXBlocks(target), ...initializeAsides(target)];
    }

    window.XBlock = {
        Runtime: runtimes,
        keepInit,
        initializeBlock,
        initializeBlocks,
        initializeXBlocks,
        initializeAside: initializeBlock,
        initializeAsides,
        initializeXBlockAsides: initializeAsides,
    };

    document.addEventListener('DOMContentLoaded', () => initializeBlocks(document.body));
})();
