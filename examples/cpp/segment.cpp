// Segments an image by a file of tools/deployment/export_onnx.py, in OpenVINO, without Python.
//
//     segment model.onnx street.png out      writes out_mask.png and out_overlay.png
//
// Built without OpenCV and without stb (see CMakeLists.txt), it reads a binary PPM and writes
// out_mask.pgm and out_overlay.ppm. Classes, colors and normalization come from the file. The image
// must have the size of the graph, or the graph be exported with --dynamic.

#include <cctype>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <openvino/openvino.hpp>
#include <stdexcept>
#include <string>
#include <vector>

#include "picture.h"

// The numbers in a text of JSON, in order.
std::vector<float> numbers(const std::string& json) {
  std::vector<float> found;
  for (const char* at = json.c_str(); *at;) {
    char* end;
    const float value = std::strtof(at, &end);
    if (end == at)
      ++at;
    else
      found.push_back(value), at = end;
  }
  return found;
}

// The texts in a list of JSON, in order.
std::vector<std::string> texts(const std::string& json) {
  std::vector<std::string> found;
  bool inside = false;
  for (size_t i = 0; i < json.size(); ++i) {
    if (json[i] == '"' && !(inside = !inside)) continue;
    if (json[i] == '"')
      found.emplace_back();
    else if (inside)
      found.back() += json[i] == '\\' ? json[++i] : json[i];
  }
  return found;
}

// OpenVINO names its source files in the lines before the last one.
std::string last_line(std::string text) {
  while (!text.empty() && std::isspace(static_cast<unsigned char>(text.back()))) text.pop_back();
  return text.substr(text.rfind('\n') + 1);
}

void segment(const std::string& path, const std::string& image_path, const std::string& out) {
  ov::Core core;
  std::shared_ptr<ov::Model> model;
  try {
    model = core.read_model(path);
  } catch (const ov::Exception& e) {
    throw std::runtime_error(path + " cannot be read as ONNX: " + last_line(e.what()));
  }
  const auto meta = [&](const std::string& key) -> std::string {
    if (!model->has_rt_info("framework", key))
      throw std::runtime_error(path + " has no metadata of sfnet_mm: make it with export_onnx.py");
    return model->get_rt_info<std::string>("framework", key);
  };
  if (meta("slide") != "null" || meta("padding") != "null" || meta("channels") != "3" ||
      meta("output_size") != "\"full\"")
    throw std::runtime_error(path +
                             " slides windows, pads, has other than 3 channels or a mask of " +
                             "another size: this example does none of that");
  if (meta("pipeline") != "[]")
    std::cerr << "note: the image is taken as it is, without " << meta("pipeline") << '\n';

  const Image image = read_image(image_path);
  const size_t height = image.height, width = image.width, pixels = height * width;
  const bool raw = meta("input") == "\"raw\"", swap = meta("bgr_to_rgb") == "true";
  const ov::Shape shape = raw ? ov::Shape{1, height, width, 3} : ov::Shape{1, 3, height, width};
  const auto expected = model->input().get_partial_shape();
  if (!expected.compatible(shape))
    throw std::runtime_error("image " + image_path + " is " + std::to_string(height) + "x" +
                             std::to_string(width) + " and the input of the graph " +
                             expected.to_string() + ": resize it, or export with --dynamic");
  ov::Tensor input(model->input().get_element_type(), shape);
  const auto mean = numbers(meta("mean")), deviation = numbers(meta("std"));
  for (size_t i = 0; i < pixels; ++i)
    for (size_t c = 0; c < 3; ++c) {
      // A raw graph takes BGR; a normalized one what the network was trained with.
      const uint8_t value = image.data[3 * i + (raw || !swap ? 2 - c : c)];
      if (raw)
        input.data<uint8_t>()[3 * i + c] = value;
      else
        input.data<float>()[c * pixels + i] = (float(value) - mean[c]) / deviation[c];
    }

  auto compiled =
      core.compile_model(model, "CPU", ov::hint::inference_precision(ov::element::f32),
                         ov::hint::performance_mode(ov::hint::PerformanceMode::LATENCY));
  auto request = compiled.create_infer_request();
  request.set_input_tensor(input);
  request.infer();
  const ov::Tensor output = request.get_output_tensor();
  const bool logits = meta("output") == "\"logits\"";
  const size_t classes = logits ? output.get_shape()[1] : 0;
  if (logits && classes == 1)
    throw std::runtime_error(path + " ends in a single logit: export it with --output argmax");

  const auto palette = numbers(meta("palette"));
  const auto names = texts(meta("classes"));
  Image mask{height, width, 1, std::vector<uint8_t>(pixels)}, overlay = image;
  std::vector<size_t> counts(256);
  for (size_t i = 0; i < pixels; ++i) {
    size_t best = logits ? 0 : size_t(output.data<int32_t>()[i]);
    for (size_t k = 1; k < classes; ++k)
      if (output.data<float>()[k * pixels + i] > output.data<float>()[best * pixels + i]) best = k;
    if (best > 255) throw std::runtime_error("masks of more than 256 classes need 16 bits");
    ++counts[mask.data[i] = uint8_t(best)];
    for (size_t c = 0; c < 3 && 3 * best + c < palette.size(); ++c)
      overlay.data[3 * i + c] =
          uint8_t(std::nearbyint(0.5f * image.data[3 * i + c] + 0.5f * palette[3 * best + c]));
  }
  write_image(out, kMask, mask);
  write_image(out, kOverlay, overlay);
  for (size_t k = 0; k < names.size() && k < 256; ++k)
    if (counts[k])
      std::printf("%5.1f %%  %s\n", 100.0 * double(counts[k]) / double(pixels), names[k].c_str());
}

int main(int count, char** arguments) {
  if (count != 4) {
    std::cerr << "error: usage: segment MODEL.onnx IMAGE OUT\n";
    return 2;
  }
  try {
    segment(arguments[1], arguments[2], arguments[3]);
  } catch (const std::exception& e) {
    std::cerr << "error: " << last_line(e.what()) << '\n';
    return 1;
  }
  return 0;
}
