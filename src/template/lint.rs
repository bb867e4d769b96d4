//! What Handlebars would only notice while rendering, or never: found when a template is loaded.

use handlebars::template::{DecoratorTemplate, HelperTemplate, Parameter, TemplateElement};

use super::helpers;
use crate::problem::nearest;

/// Loops within loops multiply; two are enough for any message.
const DEEPEST_LOOP: usize = 2;

/// One thing that is wrong.
pub(super) struct Fault {
    pub(super) message: String,
    pub(super) help: Option<String>,
    /// Line and column within the template's text, both from 1.
    pub(super) position: Option<(usize, usize)>,
}

/// All that is wrong with a template's text.
pub(super) fn faults(template: &handlebars::Template) -> Vec<Fault> {
    let mut walk = Walk { faults: vec![], loops: 0 };
    walk.template(template);
    walk.faults
}

struct Walk {
    faults: Vec<Fault>,
    loops: usize,
}

impl Walk {
    fn template(&mut self, template: &handlebars::Template) {
        for (n, element) in template.elements.iter().enumerate() {
            let position = template.mapping.get(n).map(|mapping| (mapping.0, mapping.1));
            self.element(element, position);
        }
    }

    fn element(&mut self, element: &TemplateElement, position: Option<(usize, usize)>) {
        match element {
            TemplateElement::RawString(_) | TemplateElement::Comment(_) => {}
            TemplateElement::HtmlExpression(_) => self.fault(
                position,
                "`{{{ }}}` would let what strangers write be markup".to_owned(),
                Some("write `{{ }}`; for text in which Markdown is meant, `{{markdown …}}`".to_owned()),
            ),
            TemplateElement::Expression(helper) | TemplateElement::HelperBlock(helper) => {
                self.helper(helper, matches!(element, TemplateElement::HelperBlock(_)), position);
            }
            TemplateElement::PartialExpression(partial) | TemplateElement::PartialBlock(partial) => {
                let name = name(partial);
                self.fault(position, format!("there is no partial `{name}`"), None);
            }
            TemplateElement::DecoratorExpression(decorator) | TemplateElement::DecoratorBlock(decorator) => {
                let name = name(decorator);
                self.fault(position, format!("decorators (`{{{{*{name}}}}}`) are not supported"), None);
            }
            other => self.fault(position, format!("this is not supported: {other:?}"), None),
        }
    }

    fn helper(&mut self, helper: &HelperTemplate, block: bool, position: Option<(usize, usize)>) {
        let called = block || !helper.params.is_empty() || !helper.hash.is_empty();
        let name = helper.name.as_name().unwrap_or_default();
        if called {
            self.known(name, position);
        }
        for parameter in helper.params.iter().chain(helper.hash.values()) {
            self.parameter(parameter, position);
        }
        let is_loop = block && name == "each";
        self.loops += usize::from(is_loop);
        if self.loops > DEEPEST_LOOP {
            let message = format!("`each` nested more than {DEEPEST_LOOP} deep");
            self.fault(position, message, Some("loops within loops multiply: flatten the list".to_owned()));
        } else {
            for inner in [&helper.template, &helper.inverse].into_iter().flatten() {
                self.template(inner);
            }
        }
        self.loops -= usize::from(is_loop);
    }

    fn parameter(&mut self, parameter: &Parameter, position: Option<(usize, usize)>) {
        let Parameter::Subexpression(sub) = parameter else { return };
        if let TemplateElement::Expression(helper) = sub.as_element() {
            self.known(helper.name.as_name().unwrap_or_default(), position);
            for inner in helper.params.iter().chain(helper.hash.values()) {
                self.parameter(inner, position);
            }
        }
    }

    fn known(&mut self, name: &str, position: Option<(usize, usize)>) {
        let known = || helpers::NAMES.iter().copied();
        if !known().any(|helper| helper == name) {
            let help = nearest(name, known()).map(|near| format!("did you mean `{near}`?"));
            let help = help.unwrap_or_else(|| format!("helpers: {}", helpers::NAMES.join(", ")));
            self.fault(position, format!("there is no helper `{name}`"), Some(help));
        }
    }

    fn fault(&mut self, position: Option<(usize, usize)>, message: String, help: Option<String>) {
        self.faults.push(Fault { message, help, position });
    }
}

fn name(decorator: &DecoratorTemplate) -> String {
    decorator.name.as_name().unwrap_or("(computed)").to_owned()
}
