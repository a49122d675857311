//! Parts of a configuration, read without a tree of the whole: what has another form than expected is passed over.

use std::{collections::BTreeMap, fmt, marker::PhantomData};

use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// A part that is read from one form of JSON value. Of every other form it is left out.
pub(super) trait Part: Default {
    /// From a text.
    fn of_text(_text: &str) -> Self {
        Self::default()
    }

    /// From `true` or `false`.
    fn of_flag(_flag: bool) -> Self {
        Self::default()
    }

    /// From an array.
    fn of_list<'de, A: SeqAccess<'de>>(mut list: A) -> Result<Self, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Self::default())
    }

    /// From an object.
    fn of_object<'de, A: MapAccess<'de>>(mut object: A) -> Result<Self, A::Error> {
        while object.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Self::default())
    }
}

/// The next value of `object`.
pub(super) fn part<'de, T: Part, A: MapAccess<'de>>(object: &mut A) -> Result<T, A::Error> {
    Ok(object.next_value::<Lenient<T>>()?.0)
}

/// A part, which takes any value.
pub(super) struct Lenient<T>(pub(super) T);

impl<'de, T: Part> Deserialize<'de> for Lenient<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyForm(PhantomData)).map(Self)
    }
}

struct AnyForm<T>(PhantomData<T>);

impl<'de, T: Part> Visitor<'de> for AnyForm<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_bool<E: Error>(self, flag: bool) -> Result<T, E> {
        Ok(T::of_flag(flag))
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<T, E> {
        Ok(T::default())
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<T, E> {
        Ok(T::default())
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<T, E> {
        Ok(T::default())
    }

    fn visit_unit<E: Error>(self) -> Result<T, E> {
        Ok(T::default())
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        Ok(T::of_text(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<T, A::Error> {
        T::of_list(list)
    }

    fn visit_map<A: MapAccess<'de>>(self, object: A) -> Result<T, A::Error> {
        T::of_object(object)
    }
}

/// A text that is not empty.
impl Part for Option<String> {
    fn of_text(text: &str) -> Self {
        (!text.is_empty()).then(|| text.to_owned())
    }
}

impl Part for bool {
    fn of_flag(flag: bool) -> Self {
        flag
    }
}

/// Any text.
#[derive(Default)]
struct Text(Option<String>);

impl Part for Text {
    fn of_text(text: &str) -> Self {
        Self(Some(text.to_owned()))
    }
}

/// The texts of an array.
impl Part for Vec<String> {
    fn of_list<'de, A: SeqAccess<'de>>(mut list: A) -> Result<Self, A::Error> {
        let mut texts = Self::new();
        while let Some(Lenient(Text(text))) = list.next_element()? {
            texts.extend(text);
        }
        Ok(texts)
    }
}

/// The keys of an object, in ascending order.
#[derive(Default)]
pub(super) struct Keys(pub(super) Vec<String>);

impl Part for Keys {
    fn of_object<'de, A: MapAccess<'de>>(mut object: A) -> Result<Self, A::Error> {
        let mut keys = Vec::new();
        while let Some((key, IgnoredAny)) = object.next_entry::<String, IgnoredAny>()? {
            keys.push(key);
        }
        keys.sort_unstable();
        keys.dedup();
        Ok(Self(keys))
    }
}

/// The texts of an object, by their keys.
impl Part for BTreeMap<String, String> {
    fn of_object<'de, A: MapAccess<'de>>(mut object: A) -> Result<Self, A::Error> {
        let mut pairs = Self::new();
        while let Some((key, Lenient(Text(text)))) = object.next_entry()? {
            match text {
                Some(text) => pairs.insert(key, text),
                None => pairs.remove(&key),
            };
        }
        Ok(pairs)
    }
}
